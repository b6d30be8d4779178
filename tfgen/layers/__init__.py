"""Distribution layers and priors for Keras 3, with the names and arguments of `tfp.layers`.

And layers of discriminators.
"""

from tfgen.layers.blockwise import Blockwise
from tfgen.layers.conditional import (
    Condition,
    Conditional,
    conditionals_in,
    current_condition,
    given,
)
from tfgen.layers.conditional_normalization import ConditionalBatchNormalization
from tfgen.layers.conditional_prior import ConditionalPrior
from tfgen.layers.counts import (
    IndependentCategorical,
    IndependentNegativeBinomial,
    ZeroInflatedNegativeBinomial,
    ZeroInflatedPoisson,
)
from tfgen.layers.densities import (
    IndependentBeta,
    IndependentContinuousBernoulli,
    IndependentGamma,
    IndependentLaplace,
    IndependentLogNormal,
    IndependentStudentT,
    IndependentTruncatedNormal,
)
from tfgen.layers.discretized import (
    IndependentDiscretizedLogistic,
    MixtureDiscretizedLogistic,
)
from tfgen.layers.distribution_lambda import DistributionLambda
from tfgen.layers.flow import FlowDistribution, FlowNormal, FlowPrior
from tfgen.layers.hierarchical import HierarchicalDistribution, HierarchicalNormal
from tfgen.layers.independent import (
    FixedScaleNormal,
    IndependentBernoulli,
    IndependentLogistic,
    IndependentNormal,
    IndependentPoisson,
    SharedScaleNormal,
)
from tfgen.layers.info_gan_prior import InfoGANPrior
from tfgen.layers.kl_divergence import KLDivergenceAddLoss, KLDivergenceRegularizer
from tfgen.layers.minibatch_discrimination import MinibatchDiscrimination
from tfgen.layers.mixtures import (
    CategoricalMixtureOfOneHotCategorical,
    MixtureLogistic,
    MixtureNormal,
    MixtureSameFamily,
)
from tfgen.layers.multivariate import MultivariateNormalTriL, OneHotCategorical
from tfgen.layers.poincare import PoincareLogMap, PoincareNormal, PoincareNormalPrior
from tfgen.layers.priors import MixtureOfNormals, Prior, StandardNormal, VampPrior
from tfgen.layers.relaxed import RelaxedOneHot, RelaxedOneHotPrior
from tfgen.layers.residual_quantizer import ResidualVectorQuantizer
from tfgen.layers.scalar_quantizer import FiniteScalarQuantizer
from tfgen.layers.spectral_normalization import SpectralNormalization
from tfgen.layers.spherical import SphericalUniform, VonMisesFisher
from tfgen.layers.vector_quantizer import CodeFrequencies, VectorQuantizer

__all__ = [
    "Blockwise",
    "CategoricalMixtureOfOneHotCategorical",
    "CodeFrequencies",
    "Condition",
    "Conditional",
    "ConditionalBatchNormalization",
    "ConditionalPrior",
    "DistributionLambda",
    "FiniteScalarQuantizer",
    "FixedScaleNormal",
    "FlowDistribution",
    "FlowNormal",
    "FlowPrior",
    "HierarchicalDistribution",
    "HierarchicalNormal",
    "IndependentBernoulli",
    "IndependentBeta",
    "IndependentCategorical",
    "IndependentContinuousBernoulli",
    "IndependentDiscretizedLogistic",
    "IndependentGamma",
    "IndependentLaplace",
    "IndependentLogNormal",
    "IndependentLogistic",
    "IndependentNegativeBinomial",
    "IndependentNormal",
    "IndependentPoisson",
    "IndependentStudentT",
    "IndependentTruncatedNormal",
    "InfoGANPrior",
    "KLDivergenceAddLoss",
    "KLDivergenceRegularizer",
    "MinibatchDiscrimination",
    "MixtureDiscretizedLogistic",
    "MixtureLogistic",
    "MixtureNormal",
    "MixtureOfNormals",
    "MixtureSameFamily",
    "MultivariateNormalTriL",
    "OneHotCategorical",
    "PoincareLogMap",
    "PoincareNormal",
    "PoincareNormalPrior",
    "Prior",
    "RelaxedOneHot",
    "RelaxedOneHotPrior",
    "ResidualVectorQuantizer",
    "SharedScaleNormal",
    "SpectralNormalization",
    "SphericalUniform",
    "StandardNormal",
    "VampPrior",
    "VectorQuantizer",
    "VonMisesFisher",
    "ZeroInflatedNegativeBinomial",
    "ZeroInflatedPoisson",
    "conditionals_in",
    "current_condition",
    "given",
]
