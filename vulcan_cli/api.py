"""Class `Vulcan`: what the commands do, for Python workers, with the method names of the peer.

A worker only writes, so what reads and what syncs is loaded by the methods that need it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from vulcan_cli import arguments, environment, settings
from vulcan_cli.credentials import Given
from vulcan_cli.dataset import DEFAULT_CACHE_SIZE
from vulcan_cli.errors import BadShard, DiskTrouble, InputRefused, NotSetUp, Problem
from vulcan_cli.forks import check_threads
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.intake import StagedShard, stage
from vulcan_cli.staging.listing import sidecar_beside
from vulcan_cli.vacua.geometry import Geometry, attempted
from vulcan_cli.vacua.inputs import from_frame
from vulcan_cli.vacua.prepare import Run
from vulcan_cli.vacua.run_id import DEFAULT_TEMPLATE, Template, render
from vulcan_cli.vacua.secrets import scrub

if TYPE_CHECKING:
    from vulcan_cli.dataset.features import FeatureSpec
    from vulcan_cli.dataset.groups import GroupBy
    from vulcan_cli.dataset.ml_view import VulcanMLView
    from vulcan_cli.dataset.reader import VulcanReader
    from vulcan_cli.dataset.sources import Found
    from vulcan_cli.hub.repo import Repo
    from vulcan_cli.sync.report import SyncReport


_OWN_SETTINGS = ("staging_dir", "card", "license", "citation")


class Vulcan:
    """One staging directory and one repo.

    Workers call `write`, which needs neither network nor token. A head node calls `sync`. Anybody
    reads with `query`, `fetch_run`, `reader` and `ml_view`. Where it is pickled, for another
    process, `token` stays behind: that process finds one as the commands do.

    >>> import polars as pl, tempfile
    >>> from vulcan_cli import FeatureSpec, Vulcan
    >>> folder = tempfile.mkdtemp()
    >>> vulcan = Vulcan(repo=f"{folder}/repo", staging_dir=f"{folder}/staging", project="demo")
    >>> vacua = pl.DataFrame({
    ...     "flux": [[1, 0, 0, 2, -1, 0, 0, 3]], "moduli_re": [[0.1]], "moduli_im": [[1.2]],
    ...     "tau_re": [0.0], "tau_im": [2.5], "tadpole_charge": [5], "is_susy": [True],
    ... })
    >>> shard = vulcan.write(vacua, geometry={"h11": 101, "h12": 1, "ks_id": 7})
    >>> shard.status, shard.n_rows, len(vulcan.list_pending())
    ('staged', 1, 1)
    >>> report = vulcan.sync(create_repo=True)
    >>> report.n_committed, report.n_remaining, vulcan.remaining_budget()
    (1, 0, 89)
    >>> vulcan.query(ks_id=7, is_susy=True)["flux"].to_list()
    [[1, 0, 0, 2, -1, 0, 0, 3]]
    >>> view = vulcan.ml_view(feature_spec=FeatureSpec(features=["flux"], list_max_len=9))
    >>> split = view.split_assignments()["split"].item()
    >>> view.as_dataframe(split)["flux"].to_list()
    [[1, 0, 0, 2, -1, 0, 0, 3, 0]]

    Attributes:
        repo: The repo, as `owner/name`, `file:///folder` or a path; a relative path counts from
            where the instance was made.
        staging_dir: The staging directory; a relative one counts likewise.
        run_id_template: A template, a function of the template's names, or None for random ids.
        project: What `{project}` stands for.
        budget: Commit requests in a window.
        window_s: The window, seconds.
        max_batch: Shards in a commit.
        max_retries: How often a batch is tried again.
        commit_prefix: How commit messages begin.
        extra_kwargs: More template values, for every `write`.
        card: Whether `sync` keeps the dataset card; by the settings, as the next two.
        license: What the card says of it.
        citation: Likewise.
    """

    def __init__(
        self,
        *,
        repo: Path | str,
        staging_dir: Path | str | None = None,
        run_id_template: Template = DEFAULT_TEMPLATE,
        project: str = "",
        token: str | None = None,
        budget: int = 90,
        window_s: float = 3600.0,
        extra_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Bind a repo and a staging directory; nothing is read or written yet.

        Raises:
            NotSetUp: The repo is empty, or no staging directory is set anywhere (a ValueError).
            UsageError: The repo is neither a text nor a Path (a ValueError).
        """
        if not repo:
            raise NotSetUp("repo", "Vulcan needs a repo, such as owner/name")
        found = settings.load_settings(
            needed=_OWN_SETTINGS, staging_dir=None if staging_dir is None else str(staging_dir)
        )
        self.repo = _lasting(repo)
        # Solvers change folders while they work.
        self.staging_dir = found.require_staging_dir().absolute()
        self.run_id_template = run_id_template
        self.project = project
        self.budget = budget
        self.window_s = window_s
        # Defaults: what is set counts for `from_env`.
        self.max_batch = found.max_batch
        self.max_retries = found.max_retries
        self.commit_prefix = found.commit_prefix
        self.extra_kwargs = dict(extra_kwargs or {})
        self.card = found.card
        self.license = found.license
        self.citation = found.citation
        self._token = Given(token)

    @classmethod
    def from_env(
        cls,
        *,
        repo: Path | str | None = None,
        run_id_template: Template = "",
        **more: Any,  # noqa: ANN401 (as for the class)
    ) -> Vulcan:
        """A `Vulcan` by the settings that the commands would use; arguments win.

        `healthcheck_url` is for `vulcan sync` alone.

        Args:
            repo: Instead of the one that is set.
            run_id_template: Instead of the one that is set, which an empty text stands for.
            more: As for the class.

        Raises:
            NotSetUp: No repo is set, or a setting cannot be (a ValueError).
        """
        written = None if repo is None else arguments.repo(repo)
        # In a text a comma parts repos, in the name of a folder it is a letter.
        found = settings.load_settings(repo=[written] if isinstance(repo, Path) else written)
        values: dict[str, Any] = {
            "project": found.project,
            "budget": found.budget,
            "window_s": found.window_s,
            **more,
        }
        template = found.template if run_id_template == "" else run_id_template
        made = cls(repo=found.require_repo(), run_id_template=template, **values)
        made.max_batch = found.max_batch
        made.max_retries = found.max_retries
        made.commit_prefix = found.commit_prefix
        return made

    def __repr__(self) -> str:
        return f"Vulcan(repo={scrub(self.repo)!r}, staging_dir={str(self.staging_dir)!r})"

    def write(
        self,
        df: Any,  # noqa: ANN401 (any frame with the Arrow C stream)
        *,
        geometry: Mapping[str, Any],
        run_id: str | None = None,
        tadpole_charge: int | None = None,
        solver: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
    ) -> StagedShard:
        """Stage the rows of one geometry as one shard. Needs no network.

        Args:
            df: The rows: a Polars, pandas or Arrow frame.
            geometry: Keys out of h11, h12, ks_id, triang_id, conifold_id, cicy_id.
            run_id: Instead of a rendered one.
            tadpole_charge: Where the rows do not say.
            solver: `name`, `config_hash` and whatever else.
            provenance: `git_sha`, `seed`, `wall_clock_s` and whatever else; it wins over what
                the scheduler says of the job.
            extra_kwargs: More template values; they win over those of the instance.

        Raises:
            InputRefused: With everything that is wrong with the rows, or with what is told of
                them (a ValueError).
            Conflict: The run id is taken by other rows.
            DiskTrouble: The file system refuses.
            TemplateError: The run id cannot be (a ValueError).
            UsageError: `df` is no frame; or this process was forked after Polars had begun
                threads, for which it would wait for ever (a ValueError).
        """
        check_threads()
        _check_told(
            run_id,
            geometry=geometry,
            solver=solver or {},
            provenance=provenance or {},
            extra_kwargs=extra_kwargs or {},
        )
        known, wrong = attempted(lambda: Geometry.from_mapping(geometry))
        run = Run(
            geometry=known,
            geometry_problems=wrong,
            run_id=run_id,
            tadpole_charge=tadpole_charge,
            solver=solver or {},
            provenance={**environment.read_job(), **(provenance or {})},
            project=self.project,
            template=self.run_id_template,
            template_values={**self.extra_kwargs, **(extra_kwargs or {})},
        )
        taken = stage(self._area, [("frame", lambda: from_frame(df))], run, now=datetime.now(UTC))
        for conflict in taken.conflicts:
            raise conflict
        return taken.shards[0]

    def render_run_id(self, **substitutions: Any) -> str:  # noqa: ANN401 (template values)
        """A run id by the template alone, without a content digest.

        Raises:
            TemplateError: It cannot be rendered (a ValueError; a KeyError where a name lacks).
        """
        values = {**self.extra_kwargs, **substitutions}
        return render(
            self.run_id_template, project=self.project, now=datetime.now(UTC), values=values
        )

    def list_pending(self) -> list[StagedShard]:
        """The shards that wait for a sync, by name; none where nothing was ever staged."""
        with suppress(NotSetUp):
            entries = self._area.scan("pending").entries
            return [
                _pending(self._area, entry.name, entry.path_in_repo, entry.parquet)
                for entry in entries
                if entry.has_parquet and entry.has_sidecar and entry.path_in_repo is not None
            ]
        return []

    def remaining_budget(self) -> int:
        """How many commits are possible now."""
        from vulcan_cli.staging.budget import Budget  # noqa: PLC0415

        opened = self._open(self.repo)
        with suppress(NotSetUp):
            return Budget(
                self._area, opened.key, self.budget, self.window_s, with_peer=True
            ).remaining()
        return self.budget

    def sync(
        self,
        *,
        repo: Path | str | None = None,
        token: str | None = None,
        budget: int | None = None,
        max_batch: int | None = None,
        max_retries: int | None = None,
        create_pr: bool = False,
        revision: str | None = None,
        commit_prefix: str | None = None,
        dry_run: bool = False,
        create_repo: bool = False,
    ) -> SyncReport:
        """Commit what waits to the repo.

        Args:
            repo: Instead of the instance's.
            token: Instead of the instance's, or of what the environment says.
            budget: Commit requests in a window, instead of the instance's.
            max_batch: Shards in a commit, instead of the instance's.
            max_retries: How often a batch is tried again, instead of the instance's.
            create_pr: Propose the shards in a pull request instead.
            revision: The branch.
            commit_prefix: How commit messages begin, instead of the instance's.
            dry_run: Only count, and reserve the slots.
            create_repo: Make the repo where there is none.

        Returns:
            What was done; `stopped` holds the error that ended it early, if one did.

        Raises:
            SyncAtWork: Another sync is at work.
            UsageError: `max_batch`, `max_retries`, the budget or its window cannot be; or the repo,
                as the staging directory itself, or takes no pull request where one is asked for; or
                as `write` (a ValueError).
        """
        check_threads()
        from vulcan_cli.hub.open import check_proposal  # noqa: PLC0415
        from vulcan_cli.hub.repo import MAIN  # noqa: PLC0415
        from vulcan_cli.sync.drain import sync  # noqa: PLC0415
        from vulcan_cli.sync.options import SyncOptions  # noqa: PLC0415
        from vulcan_cli.sync.rehearse import rehearse  # noqa: PLC0415

        target = _lasting(repo) if repo else self.repo
        opened = self._open(target, token)
        options = SyncOptions(
            max_batch=self.max_batch if max_batch is None else max_batch,
            budget=self.budget if budget is None else budget,
            window_s=self.window_s,
            max_retries=self.max_retries if max_retries is None else max_retries,
            revision=revision or MAIN,
            commit_prefix=self.commit_prefix if commit_prefix is None else commit_prefix,
            create_repo=create_repo,
            create_pr=create_pr,
            card=self.card,
            licence=self.license,
            citation=self.citation,
            with_peer=target == self.repo,
        )
        if dry_run:
            check_proposal(target, options.revision, create_pr=create_pr)
            return rehearse(self._area, options, repo_key=opened.key)
        return sync(self._area, opened, options)

    def reader(self, *, cache_size: int = DEFAULT_CACHE_SIZE) -> VulcanReader:
        """A reader of what is published: from `synced/`, and from the repo what was trimmed."""
        from vulcan_cli.dataset.reader import VulcanReader  # noqa: PLC0415

        return VulcanReader(
            source=self._published, cache_size=cache_size, described=f"{self!r}.reader()"
        )

    def query(self, **filters: Any) -> pl.DataFrame:  # noqa: ANN401 (as VulcanReader.query)
        """Published rows that match; see `VulcanReader.query`."""
        return self.reader().query(**filters)

    def fetch_run(self, run_id: str) -> pl.DataFrame:
        """All published rows of a run; empty where there is none."""
        return self.reader().fetch_run(run_id)

    def ml_view(
        self,
        *,
        fractions: Sequence[float] | None = None,
        splits: Sequence[str] | None = None,
        salt: str = "",
        feature_spec: FeatureSpec | None = None,
        group_by: GroupBy = "geometry",
        folds: int | None = None,
        frozen: Path | str | None = None,
    ) -> VulcanMLView:
        """Published rows in splits; see `VulcanMLView`."""
        from vulcan_cli.dataset.ml_view import VulcanMLView  # noqa: PLC0415
        from vulcan_cli.dataset.splits import DEFAULT_FRACTIONS, DEFAULT_SPLITS  # noqa: PLC0415

        return VulcanMLView(
            self.reader(),
            fractions=DEFAULT_FRACTIONS if fractions is None else fractions,
            splits=DEFAULT_SPLITS if splits is None else splits,
            salt=salt,
            feature_spec=feature_spec,
            group_by=group_by,
            folds=folds,
            frozen=frozen,
        )

    @property
    def _area(self) -> StagingArea:
        return StagingArea(self.staging_dir)

    def _published(self) -> Found:
        from vulcan_cli.dataset.sources import locate  # noqa: PLC0415

        return locate(self._area, [self._open(self.repo)], "auto")

    def _open(self, repo: str, token: str | None = None) -> Repo:
        from vulcan_cli.dataset.sources import open_as_set  # noqa: PLC0415
        from vulcan_cli.hub.open import folder_of  # noqa: PLC0415
        from vulcan_cli.staging.apart import check_apart  # noqa: PLC0415

        check_apart(self._area, folder_of(repo))
        return open_as_set(repo, token or self._token.reveal())


def _check_told(run_id: object, **given: object) -> None:
    """Raise InputRefused for a run id that is no text, and arguments that are no mappings."""
    problems = [
        Problem(f"{name} is a mapping of names to values, not {type(value).__name__}")
        for name, value in given.items()
        if not isinstance(value, Mapping)
    ]
    if run_id is not None and not isinstance(run_id, str):
        problems.append(Problem(f"run_id is one text, not {run_id!r}"))
    if problems:
        raise InputRefused(*problems)


def _lasting(repo: Path | str) -> str:
    """A repo as it is written, but for a relative path, which the program may walk away from."""
    written = arguments.repo(repo)
    if not written.startswith("."):
        return written
    from vulcan_cli.hub.open import folder_of  # noqa: PLC0415

    folder = folder_of(written)
    return written if folder is None else str(folder.absolute())


def _pending(area: StagingArea, name: str, path_in_repo: str, parquet: Path) -> StagedShard:
    """A shard in `pending/`, by its sidecar."""
    n_rows, digest, run_id = 0, None, Path(path_in_repo).stem.removeprefix("run_")
    with suppress(BadShard, DiskTrouble):
        sidecar = area.read_sidecar("pending", name)
        if sidecar is not None:
            n_rows, digest = sidecar.n_rows, sidecar.digest
    return StagedShard(
        run_id=run_id,
        parquet_path=parquet,
        sidecar_path=sidecar_beside(parquet),
        path_in_repo=path_in_repo,
        n_rows=n_rows,
        digest=digest,
    )
