"""The controllers of kube-controller-manager and the scheduler: each turns what it sees into what should be.

One file per controller. Pure decisions (which pods go, which slices hold what) are functions beside them, so that
they can be tested as tables. All of them see the API server through the same shared informers, a little late.
"""
