"""Images: decoding, preprocessing, masks, class maps, boxes, drawing."""
