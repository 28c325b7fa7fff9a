# Feature dynamics: networks along the way of their adaptation, and what is told of them.


rule trajectories:
    input:
        unpack(inputs_of("trajectories")),
    output:
        **temporary(
            outputs_of("trajectories"),
            None if RUN.settings.dynamics and RUN.settings.dynamics.keep_networks else "runs",
        ),
    log:
        log_of("trajectories"),
    benchmark:
        benchmark_of("trajectories")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("trajectories"),
    params:
        **params_of("trajectories"),
    message:
        message_of("trajectories")
    shell:
        "{params.job}"


rule activity:
    input:
        unpack(inputs_of("activity")),
    output:
        **updated(outputs_of("activity"), "activity"),
    log:
        log_of("activity"),
    benchmark:
        benchmark_of("activity")
    priority: 1
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("activity"),
    params:
        **params_of("activity"),
    message:
        message_of("activity")
    shell:
        "{params.job}"


rule dynamics_units:
    input:
        unpack(inputs_of("dynamics_units")),
    output:
        **outputs_of("dynamics_units"),
    log:
        log_of("dynamics_units"),
    benchmark:
        benchmark_of("dynamics_units")
    priority: 1
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("dynamics_units"),
    params:
        **params_of("dynamics_units"),
    message:
        message_of("dynamics_units")
    shell:
        "{params.job}"
