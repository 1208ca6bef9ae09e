"""Labs: exercises with an instance of their own for each student, graded by running what the student hands in.

`spec` reads the definitions (`notebooks/labs/*.yaml`), `instance` draws a student's numbers, `measure` runs and looks,
`marks` gives points, `submission` reads what students wrote, `sandbox` bounds what that may cost, `course` does a whole
class, `export` writes nbgrader and otter notebooks, `api` is what notebooks hold in their hands.
"""
