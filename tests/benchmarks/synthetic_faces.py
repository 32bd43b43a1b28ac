"""How fast synthetic faces are drawn, per second of this process's CPU time.

python tests/benchmarks/synthetic_faces.py [--full] [--json FILE]
"""

import timing


def main():
    arguments = timing.options(__doc__, rounds={"type": int, "default": 5})
    from fer_lib.data.synthetic import make_faces

    times = timing.interleaved({"make_faces": lambda: make_faces(3500)}, arguments.rounds)
    speed = 3500 / times["make_faces"][1]
    row = timing.number(
        "3,500 faces of 48 x 48", "make_faces", speed, "faces/s", note="goal: 5,000; CPU time"
    )
    timing.finish([row], arguments)


if __name__ == "__main__":
    main()
