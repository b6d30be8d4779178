"""What a model lacks is named, with what it should return; nothing else is asked for."""

import pytest
import tensorflow as tf

from tfgen import bijectors, layers, metrics, models, networks
from tfgen.metrics import protocols
from tfgen.metrics.protocols import require


class Encoder:
    def encode(self, x):
        return x


@pytest.mark.parametrize(
    "protocol, missing",
    [
        (
            protocols.HasLogWeights,
            r"log_weights\(x, num_samples, seed\), which returns log p\(x, z\)",
        ),
        (protocols.HasJointDensity, r"log_joint\(x, z\), which returns log p\(x, z\) in nats"),
        (protocols.HasElbo, r"log_joint\(x, z\)"),
        (protocols.HasCodes, r"decode\(z\), which returns p\(x\|z\)"),
        (protocols.HasSamples, r"sample\(num_samples, seed\), which returns images x"),
    ],
)
def test_names_what_is_missing(protocol, missing):
    with pytest.raises(ValueError, match=f"f needs a model with the method {missing}") as error:
        require(Encoder(), protocol, "f", "Take another.")
    assert str(error.value).endswith("Received: Encoder, without that method. Take another.")


def test_all_that_is_named_is_enough():
    require(Encoder(), protocols.HasEncoder, "f", "")


def test_what_is_no_method_does_not_count():
    encoder = Encoder()
    encoder.encode = None
    with pytest.raises(ValueError, match="the method encode"):
        require(encoder, protocols.HasEncoder, "f", "")


def test_a_vae_has_all_and_a_mixture_its_likelihood():
    shape = (2, 2, 1)
    vae = models.VAE(networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2))
    for name in ("LogWeights", "Encoder", "JointDensity", "Elbo", "Codes", "Samples"):
        require(vae, getattr(protocols, f"Has{name}"), "f", "")
    mixture = models.MixtureEM(2, (4,))
    require(mixture, protocols.HasLogWeights, "f", "")
    with pytest.raises(ValueError, match="active_units needs .* encode.* Received: MixtureEM"):
        metrics.active_units(mixture, tf.zeros((3, 4)))


def test_flows_are_told_from_other_densities():
    head = layers.FlowNormal(2, bijectors.Radial(2, num_steps=1))
    assert isinstance(head(tf.zeros((1, 4))), protocols.FlowDensity)
    assert not isinstance(layers.IndependentNormal(2)(tf.zeros((1, 4))), protocols.FlowDensity)
    assert not isinstance(tf.zeros(2), protocols.FlowDensity)
