"""Images: decoding, preprocessing, masks, class maps, boxes, drawing."""

import os
import warnings

# OpenCV prints a line of its own for each damaged image, Pillow one for each damaged tag, which a client could fill a
# log with; our errors say it all.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
