"""mnist_augmented without the channels beside the image, and wider between its convolutions."""

from mnist_augmented import on_pixels

from odeembed.fields.convolution import PixelField

experiments = on_pixels(PixelField(92))
