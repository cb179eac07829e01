"""Stage one: a folder of images and a torchvision backbone become a checkpoint. The only stage that needs Lightning."""
