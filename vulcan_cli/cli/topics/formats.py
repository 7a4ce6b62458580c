"""`vulcan help formats`."""

from vulcan_cli.cli.tree import Example, Part, Topic

TOPIC = Topic(
    name="formats",
    page="vulcan-formats",
    section=7,
    summary="What goes in, what comes out, and what a shard is.",
    parts=(
        Part(
            "What `vulcan stage` reads",
            rows=(
                ("parquet", "columns by name; lists as lists"),
                ("csv", "a header; lists as text in a cell, `[1, -2, 3]`"),
                ("ndjson", "a JSON object a line"),
                ("arrow", "Arrow IPC, file or stream, such as Feather"),
                ("npz", "numpy arrays `fluxes`, `moduli`, `taus`, as a solver on a cluster writes"),
            ),
            paragraphs=(
                "`--format auto`, the default, looks at the first bytes.",
                "From a pipe, with `--max-rows` or `--max-age`, csv, ndjson and Arrow's stream are "
                "staged while they come; parquet, npz and Arrow's file are whole or nothing. A bad "
                "row of a stream is kept in a file of the working directory, and the exit status "
                "is 3 in the end.",
            ),
        ),
        Part(
            "Columns",
            rows=(
                ("flux", "list of int32; required"),
                ("moduli_re, moduli_im", "lists of double; required"),
                ("tau_re, tau_im", "double; required"),
                ("tadpole_charge", "int32; required, or `--tadpole-charge`"),
                (
                    "h11, h12, ks_id, triang_id, conifold_id, cicy_id",
                    "int32: the geometry; from the input, or from `--geometry`, which replaces "
                    "all six. -1 is absent, 0 is a value",
                ),
                ("run_id, geometry_id", "text; written by vulcan, whatever the input says"),
                ("created_at", "UTC, microseconds; filled in where the input has none"),
                ("W_re, W_im, g_s, m_gravitino, residual", "double; optional"),
                ("F_terms_re, F_terms_im, mass2", "lists of double; optional"),
                ("is_susy, is_isd", "bool; optional"),
                ("seed, n_iterations, wall_clock_s", "int64, int32, 32-bit float; optional"),
                ("solver_name, solver_config_hash, git_sha", "text; optional"),
                ("tags, extra_data", "text; optional"),
                ("verifier_id, cert_checks, record_id", "text, of a certification; optional"),
                ("cert_status", "certified, provisional or invalidated; optional"),
                ("kahler_metric_min_eig, hessian_min_eig, mass_min_eig", "double; optional"),
                (
                    "any other",
                    "kept as it comes, after these; its name, and those of fields in it, may be "
                    "any but `*` and such as `^x$`, which are patterns for names",
                ),
            ),
            paragraphs=("`vulcan card` says what each column of a dataset means, and its unit.",),
        ),
        Part(
            "A shard",
            paragraphs=(
                "One parquet file of one geometry and one run. In the repo it is "
                "`h12_{h12}/h11_{h11}/bucket_{bucket}/run_{run_id}.parquet`; in the staging "
                "directory the same with `/` written `__`, and beside it `<name>.meta.json`.",
                "`--project` and `--template` say how run ids are made; `vulcan stage` ends each "
                "in 16 digits of a digest of its rows, so that other rows never share one.",
                "A template may name the six keys of a geometry, `solver`, `seed`, `project`, "
                "`date`, `digest`, and what `--set` gives. `{seed}` must have a value, `{seed?}` "
                "becomes `na` where there is none; a key that a geometry lacks, and an empty "
                "project, are `na` in both.",
            ),
        ),
        Part(
            "What `vulcan query` and `vulcan split` write",
            rows=(
                ("table", "the first rows, for eyes; the default on a terminal"),
                ("parquet", "the default in a pipe or file"),
                ("csv", "RFC 4180; lists as JSON"),
                ("ndjson, json", "a JSON object a row; NaN becomes null, and that is said"),
                ("arrow", "Arrow IPC; as a stream in a pipe"),
                (
                    "npz, safetensors",
                    "arrays; lists have one length, or get it by split --list-max-len",
                ),
            ),
            paragraphs=(
                "The ending of `-o FILE` chooses; the file appears whole or not at all.",
                "As text, bytes are base64, durations ISO 8601 in seconds, and types of your own "
                "what they are stored as; maps are JSON objects, or lists of `key` and `value` "
                "where the keys are no text.",
                "A pipe or file gets text exactly as it is. On a terminal, control characters and "
                "all else that does not print stand as escapes: `\\x1b` in csv, `\\u001b` in "
                "ndjson and json, whose values that does not change.",
            ),
        ),
    ),
    examples=(
        Example(
            "See what an input would become, and write nothing",
            "vulcan stage results.csv -g h11=132,h12=2,ks_id=3,triang_id=0 --dry-run",
        ),
        Example("A query as CSV", "vulcan query --h12 2 --columns flux,tau_im -o weak.csv"),
    ),
)
