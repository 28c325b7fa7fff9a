# What rules ask of the run. All of it is declared by the capabilities (transferlens/*/capability.py).
import inspect

try:
    from snakemake.common import overwrite_function_params
except ImportError:  # it saves time only, and is no part of what Snakemake promises

    def overwrite_function_params(function, parameters):
        pass


wildcard_constraints:
    **RUN.constraints(),


def told(function):
    """The function with its parameters noted: Snakemake looks them up a dozen times a job, which takes long."""
    overwrite_function_params(function, inspect.signature(function).parameters)
    return function


def inputs_of(step):
    """The files a step is made from, by the names its script takes."""
    return told(lambda wildcards: RUN.inputs(step, wildcards))


def outputs_of(step):
    """The files a step makes; pictures and tables with their place in Snakemake's report."""
    return {name: _reported(made) for name, made in RUN.steps[step].outputs.items()}


def _reported(made):
    path = f"results/{made.path}"
    if not getattr(made, "caption", ""):
        return path
    caption = str(REPOSITORY / "workflow/report" / made.caption)
    return report(path, caption=caption, category=made.category, labels=dict(made.labels))


def log_of(step):
    return RUN.log_of(step)


def benchmark_of(step):
    return RUN.benchmark_of(step)


def params_of(step):
    """What decides the result, as Snakemake records it; and the command, which it does not record."""
    return {
        "settings": told(lambda wildcards: RUN.settings_of(step, wildcards)),
        "code": told(lambda wildcards: RUN.code_of(step, wildcards)),
        "job": told(lambda wildcards, input, output: RUN.command(step, wildcards, input, output)),
    }


def resources_of(step):
    return {"gpu": 1} if RUN.wants_gpu(step) else {}


def message_of(step):
    return re.sub(r"{(\w+)}", r"{wildcards.\1}", RUN.steps[step].title)


def temporary(outputs, name):
    """Outputs of which one is deleted when nobody needs it any more."""
    return {key: temp(path) if key == name else path for key, path in outputs.items()}


def updated(outputs, name):
    """Outputs of which one is left in place for its job, which takes from it what still holds."""
    return {key: update(path) if key == name else path for key, path in outputs.items()}


def one_of(names):
    """A pattern of names that a wildcard may take; of none, one that nothing matches."""
    return "|".join(map(re.escape, names)) or "none"
