"""The packet stepper: one self-contained HTML page in which a packet moves hop by hop.

Called by `netsim explain --html` and by notebooks (`Explained._repr_html_`). `scene.py` says which hosts and devices
there are, `layout.py` where they stand in the drawing, `states.py` what a packet's headers hold, `narrate.py` what
happens in words, `frames.py` puts the steps of a journey into the data of the page, `page.py` writes it. The page
itself is in `assets/`: plain HTML, CSS and JavaScript, without a library and without the network.
"""

from netsim.measure.stepper.page import embedded, page
from netsim.measure.stepper.scene import Scene, scene_of

__all__ = ["Scene", "embedded", "page", "scene_of"]
