"""What planning asks of networks. Torch, slow to import, is imported only where they must be tried."""

from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.core.settings import SMALL_RESNET, ArchitectureSettings, NetworkSettings
from transferlens.models import packages
from transferlens.models.expected import EFFICIENTNETS, ExpectedInput


def check(run: Run) -> None:
    """Refuse networks of any study that cannot be built, are not understood, or do not take the images.

    Raises:
        ConfigError, SetupError: one line, before anything runs, with the study that has a network of its own.
    """
    for study in (None, *run.studies):
        network = NetworkSettings.read(run.architecture_of(study))
        if network.name == SMALL_RESNET:
            continue
        from transferlens.models import contract

        try:
            contract.find(network)
        except ConfigError as error:
            own = study is not None and run.studies[study].architecture is not None
            raise ConfigError(f"{study}: {error}" if own else str(error)) from error


def expected_input(network: ArchitectureSettings, weights: str) -> ExpectedInput | None:
    """How images enter weights: published ones, or those of a file as the network's published ones.

    None where there are no published ones.

    Raises:
        SetupError: a network of a package that is not installed.
    """
    if network.file is not None or network.name == SMALL_RESNET:
        return None
    if network.name in EFFICIENTNETS:
        return EFFICIENTNETS[network.name]
    from transferlens.models import architectures, published

    if packages.is_name(weights):
        return published.expected_input(network, weights)
    return architectures.expected_input(network)


def no_evidence(network: NetworkSettings) -> str:
    """Why a network's class maps do not add up to its logits; '' if they do."""
    if network.name == SMALL_RESNET:
        return ""
    from transferlens.models import contract

    return contract.find(network).no_evidence


def require_evidence(run: Run, study: str | None, key: str, cure: str) -> None:
    """Refuse, for the sake of a setting, a study whose networks' class maps do not add up to logits.

    Raises:
        ConfigError: naming the setting, the network and why.
    """
    network = NetworkSettings.read(run.architecture_of(study))
    if reason := no_evidence(network):
        raise ConfigError(
            f"config: {key} needs class maps that add up to logits, and those of {network.title} do not, as "
            f"{reason}: {cure}"
        )
