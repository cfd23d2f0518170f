import torch

from bench.grey import partly_grey


def test_some_images_lose_their_colour_and_the_others_stay():
    torch.manual_seed(0)
    images = torch.rand(200, 3, 4, 4)
    found = partly_grey(images, share=0.25)
    grey = (found[:, 0] == found[:, 1]).flatten(1).all(1) & (found[:, 1] == found[:, 2]).flatten(1).all(1)
    assert 0.15 < grey.float().mean() < 0.35
    assert torch.equal(found[~grey], images[~grey])
    weights = torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(found[grey][:, 0], torch.einsum("nchw,c->nhw", images[grey], weights))
