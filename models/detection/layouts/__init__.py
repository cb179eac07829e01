"""Detection data-set layouts: COCO, Pascal VOC, YOLO, instance-id maps."""
