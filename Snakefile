# The whole workflow, from raw files to a report. The configuration is a suite (benchmarks/*.yaml): what to compare.
#
#   snakemake --cores all --resources gpu=4                      the default suite
#   snakemake --cores all --configfile benchmarks/acdc_small.yaml     another one
#   … --config skip_unavailable=true                             leave out missing data; tables name it
from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/tune.smk"
include: "workflow/rules/train.smk"


for method_rules in discover_method_rules():

    include: method_rules


include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


check_every_method_has_a_rule()


rule all:
    default_target: True
    input:
        RESULTS / "report.html",
        tables(),
        figures(),
        PLAN.pruned(),
