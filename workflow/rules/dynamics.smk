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


rule similarity:
    input:
        unpack(inputs_of("similarity")),
    output:
        **outputs_of("similarity"),
    log:
        log_of("similarity"),
    benchmark:
        benchmark_of("similarity")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("similarity"),
    message:
        message_of("similarity")
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


rule dynamics_pictures:
    input:
        unpack(inputs_of("dynamics_pictures")),
    output:
        **outputs_of("dynamics_pictures"),
    log:
        log_of("dynamics_pictures"),
    benchmark:
        benchmark_of("dynamics_pictures")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("dynamics_pictures"),
    message:
        message_of("dynamics_pictures")
    shell:
        "{params.job}"


rule dynamics_page:
    input:
        unpack(inputs_of("dynamics_page")),
    output:
        **outputs_of("dynamics_page"),
    log:
        log_of("dynamics_page"),
    benchmark:
        benchmark_of("dynamics_page")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("dynamics_page"),
    message:
        message_of("dynamics_page")
    shell:
        "{params.job}"


rule drifts:
    input:
        unpack(inputs_of("drifts")),
    output:
        **outputs_of("drifts"),
    log:
        log_of("drifts"),
    benchmark:
        benchmark_of("drifts")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("drifts"),
    params:
        **params_of("drifts"),
    message:
        message_of("drifts")
    shell:
        "{params.job}"


rule drift_influence:
    input:
        unpack(inputs_of("drift_influence")),
    output:
        **outputs_of("drift_influence"),
    log:
        log_of("drift_influence"),
    benchmark:
        benchmark_of("drift_influence")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("drift_influence"),
    message:
        message_of("drift_influence")
    shell:
        "{params.job}"
