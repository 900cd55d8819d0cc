"""Hostile surroundings and inputs: after each, nothing is lost, and a script that cannot go on ends in one line."""

from faults import inputs, processes, surroundings

ATTACKS = {
    "a full disk under a run": surroundings.full_disk,
    "a full disk under a sweep": surroundings.full_disk_of_a_sweep,
    "a full disk under figures, page, exports, evaluations, data, records": surroundings.full_disk_of_outputs,
    "a read-only disk": surroundings.read_only_disk,
    "64 and 32 open files": surroundings.few_descriptors,
    "no HOME, no TMPDIR, the POSIX locale": surroundings.bare_environment,
    "spaces, unicode, quotes and brackets in paths": surroundings.odd_paths,
    "archives with .., absolute names, links, devices, a bomb": inputs.hostile_archives,
    "idx files whose headers lie": inputs.lying_headers,
    "HTML in the text of records": inputs.html_in_records,
    "the clock set back nine years": surroundings.clock_set_back,
    "ten kills of prepare_data": processes.killed_preparation,
    "two preparations of one data set at once": processes.two_preparations,
    "a sweep whose parent alone is killed": processes.killed_parent,
    "two launches of one sweep at once": processes.two_launches,
}
