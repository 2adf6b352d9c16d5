"""Texts that no run writes, by the file that they stand in: for YAML, JSON and CSV; and lists of a sweep's points."""

import json

ESC = "\x1b[2J\x1b]0;owned\x07"
DEEP = 100_000
DOUBLING = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)
)
TEXTS = {  # file -> what it holds
    "config.yaml": [
        "zz: " + "1:" * 100_000 + "1\n",
        DOUBLING,
        "a: " + "[" * DEEP,
        "- " * DEEP,
        "a: &a [*a]\n",
        "_target_: isogain.training.run.run\nseed: " + "9" * 5_000,
        "_target_: isogain.training.run.run\nseed: 0x" + "f" * 39,
        "_target_: isogain.training.run.run\nseed: [1, 2]\nmodel: 7\ninit: {gain: {a: 1}}\nreg: [1]\n",
        "_target_: [1]\n",
        "_target_: isogain.training.run.run\nwhen: 2026-01-01\n2026-01-02: x\nnull: 1\n? [a]\n: b\n",
        "_target_: !!python/object/apply:os.system ['touch owned']\n",
        "_target_: isogain.training.run.run\n" + "".join(f"k{i}: {i}\n" for i in range(60_000)),
        "_target_: isogain.training.run.run\na: 1\na: 2\n",
        f"_target_: isogain.training.run.run\nseed: '{ESC[1:]}'\nout: \"\\e[2J\"\n",
    ],
    "overrides.yaml": ["a: 1", "[[1], {a: 2}]", "- " * DEEP, "7", '- "a=\\e[31m\\nrun this"\n', "- 1\n- x\n"],
    "choices.yaml": ["- 1", "reg: {a: 1}", "a: " * 50, "? {a: 1}\n: 2\n"],
    "summary.json": [
        '{"status": []}',
        '{"status": {"a": 1}}',
        '{"status": 7}',
        "[" * DEEP,
        '{"status": "finished", "a": ' + "[" * 500 + "]" * 500 + "}",
        '{"status": "finished", "test/acc": "high", "steps": "many", "seconds": null, "seed": true}',
        '{"status": "finished", "steps": ' + "9" * 5_000 + "}",
        '{"status": "finished", "steps": 1e999, "test/acc": NaN, "val/acc": -Infinity}',
        '{"status": "finished", "steps": 99999999999999999999999, "test/acc": 1}',
        '{"status": "finished", "error": "\\ud800", "\\udfff": 1}',
        '{"status": "finished", "status": "failed"}',
        '{"status": "failed", "error": ["a"], "folder": 7}',
        json.dumps({"status": "failed", "error": f"{ESC}\nto run again:\n  rm -rf /", "=1+1": "=1+1"}),
        json.dumps({"status": "finished"} | {f"k{i}": i for i in range(20_000)}),
    ],
    "attempts.jsonl": [
        "[" * DEEP,
        "7\n[1]\nnull\n",
        '{"event": ["start"]}\n{"event": {"a": 1}}\n',
        '{"event": "start", "pid": "x", "time": {}, "host": [1], "step": "7", "slurm_job": 5}\n',
        '{"event": "start", "pid": 99999999999999999, "time": "2026-01-01", "host": "%s"}\n',
        '{"event": "start", "pid": true, "time": "0001-01-01T00:00:00", "host": "%s"}\n',
        '{"event": "start", "pid": -1, "time": "9999-12-31T23:59:59", "host": "%s", "step": 1e400}\n',
        '{"event": "end", "status": [], "error": {}}\n',
        '{"event": "preempted", "signal": 9, "step": []}\n',
        '{"event": "start", "host": "\\u001b[2J\\nrun this", "pid": 1, "slurm_job": "\\u001b[1"}\n',
    ],
    "metrics.csv": [
        "step,epoch,val/acc\r\n1,0,0.5\r2,0,0.6\n3,0,0.7\r\n",
        "step,epoch,val/acc\r\n1,0," + "x" * 131_073 + "\r\n2,0,0.5\r\n",
        "step,epoch,val/acc\r\n1,0," + "7" * 131_073 + "\r\n2,0,0.5\r\n",
        "step,epoch,val/acc\n" + "1" * 3_000_000 + "\n2,0,0.5\n",
        "x" * 3_000_000,
        "step,epoch,val/acc\r\ninf,0,1\r\nnan,0,1\r\n-1,0,1\r\n1e300,0,1\r\n1.5,0,1\r\n",
        "step,epoch,val/acc\r\none,zero,half\r\n",
        "step,epoch,val/acc\r\n1\r\n1,2,3,4,5\r\n\r\n,,\r\n2,inf,0.5\r\n",
        'step,epoch,"val/acc\r\n1,0,0.5\r\n',
        "step,step,val/acc\r\n1,0,0.5\r\n",
        ",,,\r\n1,2,3,4\r\n",
        "step,epoch," + ",".join(f"c{i}" for i in range(30_000)) + "\n1,0\n",
        "step,epoch,val/acc\r\n1,0,0.5\r\n" + "\0" * 5_000 + "\r\n",
        "",
        "\r\n\r\n",
        f"step,epoch,{ESC}\r\n1,0,0.5\r\n",
    ],
    "log.txt": [ESC, "\0" * 1000],
}  # fmt: skip
POINTS = {
    "points as a dict": {"points": {"0": ["a=1"]}},
    "points of numbers": {"points": [1, None, "x", [], {}]},
    "a folder that is a number": {"points": [{"folder": 7, "overrides": []}]},
    "overrides as a text": {"points": [{"folder": "9", "overrides": "seed=1"}]},
    "a name of 5000 bytes": {"points": [{"folder": "x" * 5_000, "overrides": ["seed=1"]}]},
    "a name with a NUL": {"points": [{"folder": "a\0b", "overrides": []}]},
    "half a character": {"points": [{"folder": "\ud800", "overrides": ["seed=\ud800"]}]},
    "folders outside": {"points": [{"folder": f, "overrides": []} for f in ("../x", "/etc", ".", "")]},
    "no list": [1, 2],
    "other types": {"points": [], "command": {"a": 1}, "time": {}, "pid": "x", "host": 7, "cluster": []},
    "a command to the terminal": {
        "command": ["train.py", "-m", f"seed=1\n  rm -rf ~ {ESC}"],
        "points": [{"folder": f"{ESC}\nrm", "overrides": [f"seed=1{ESC}"]}],
    },
    "another program": {
        "command": ["/tmp/evil/other.py", "-m"],
        "points": [{"folder": "9", "overrides": ["seed=1"]}],
    },
}  # fmt: skip
