"""From a model's name and a folder of images to a folder that an app can take."""
