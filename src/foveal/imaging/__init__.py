"""Images: decoding, preprocessing, masks, class maps, boxes, drawing."""

import os

# OpenCV prints an error line of its own for each damaged image, which a client could fill a log with; ours says it all.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
