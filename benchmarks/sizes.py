"""Jobs on 1,000 and on 100,000 shards: only where named, as the large ones take an hour."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.jobs import Job, read, to_file, vulcan

# Goals by number of shards: the catalog, one shard once there is a catalog, all rows. Among 1,000 a
# process spends its time on starting, so that ours is only not to be slower.
_GOALS = {1_000: (1.0, 1.0, 1.0), 100_000: (6.0, 100.0, 15.0)}


def _jobs(n_shards: int) -> Iterator[tuple[str, Job]]:
    data = f"synced-{n_shards}-8"
    needs = (("synced", str(n_shards), "8"),)
    catalog, one, everything = _GOALS[n_shards]
    of = f"of {n_shards:,} shards"
    peer, ours = read(f"assert len(reader.catalog()) == {n_shards}", data)
    yield (
        f"catalog-{n_shards}",
        Job(
            what=f"catalog {of}, first time",
            needs=needs,
            peer=peer,
            ours=ours,
            faster=catalog,
            slow=True,
            forgets=(f"{data}/_vulcan/catalog",),
        ),
    )
    where = ("--staging-dir", f"{{data}}/{data}", "--source", "synced")
    yield (
        f"one-{n_shards}",
        Job(
            what=f"one {of}, fresh process, with its catalog (`vulcan query --ks-id`)",
            needs=needs,
            peer=read("assert len(reader.query(ks_id=471)) == 8", data)[0],
            ours=vulcan("query", "--ks-id", "471", *where),
            faster=one,
            slow=True,
        ),
    )
    in_memory = read(f"assert len(reader.query()) == {8 * n_shards}", data)
    for ending, where_to, (peer, ours) in (
        ("", "", in_memory),
        ("-file", ", to a parquet file (`vulcan query -o`)", to_file(data)),
    ):
        yield (
            f"all-{n_shards}{ending}",
            Job(
                what=f"all rows {of} of 8 rows{where_to}",
                needs=needs,
                peer=peer,
                ours=ours,
                faster=everything,
                memory=1 / 10 if n_shards == 100_000 else None,
                slow=True,
            ),
        )


SIZES: dict[str, Job] = {name: job for size in _GOALS for name, job in _jobs(size)}
"""These jobs, by the names that the command takes."""
