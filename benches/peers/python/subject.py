"""Flask-SQLAlchemy as a subject of the benchmark. It speaks the protocol that child.rs describes.

    python subject.py find|insert TASKS [--latencies]

Each operation has an application context of its own, as a request of Flask has, and so a session and a connection of the
pool. A task is a thread.
"""

import sys
import threading
import time

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError

ROWS = 10_000
CONNECTIONS = 10
WARM_UP = 0.2
# As in sqlite/database.rs.
SETTINGS = ["busy_timeout = 5000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"]

operation, tasks, keeps_latencies = sys.argv[1], int(sys.argv[2]), "--latencies" in sys.argv
path = sys.stdin.readline().strip()

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{path}"
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
    "pool_size": CONNECTIONS,
    "max_overflow": 0,
    "pool_timeout": 30,
}
db = SQLAlchemy(app)


class Item(db.Model):
    __tablename__ = "items"
    id = db.mapped_column(db.BigInteger, primary_key=True)
    name = db.mapped_column(db.Text)
    price = db.mapped_column(db.Integer)
    in_stock = db.mapped_column(db.Boolean)


class Sale(db.Model):
    __tablename__ = "sales"
    id = db.mapped_column(db.Integer, primary_key=True)
    item_id = db.mapped_column(db.BigInteger, db.ForeignKey("items.id"))
    quantity = db.mapped_column(db.Integer)


def set_up(connection, _record):
    for setting in SETTINGS:
        connection.execute(f"PRAGMA {setting}")


def id_of(number):
    mixed = (number * 0x9E37_79B9_7F4A_7C15) % 2**64 >> 32
    return mixed % ROWS + 1


def find(number):
    with app.app_context():
        item = db.session.get(Item, id_of(number))
        assert item.name and item.price is not None and item.in_stock is not None


def insert(number):
    with app.app_context():
        db.session.add(Sale(item_id=id_of(number), quantity=1))
        db.session.commit()


class Task:
    """What one thread has done in a turn."""

    def __init__(self, number, turn):
        self.number, self.turn = number, turn
        self.operations = self.failures = self.locked = 0
        self.latencies = []

    def run(self):
        work = find if operation == "find" else insert
        calls = 0
        while not self.turn.is_set():
            started = time.perf_counter_ns()
            try:
                work(calls + (self.number << 32))
                self.operations += not self.turn.is_set()
            except SQLAlchemyError as error:
                self.failures += 1
                self.locked += "database is locked" in str(error)
            if keeps_latencies:
                self.latencies.append(time.perf_counter_ns() - started)
            calls += 1


def run_turn(seconds):
    turn = threading.Event()
    done = [Task(number, turn) for number in range(tasks)]
    threads = [threading.Thread(target=task.run) for task in done]
    started = time.perf_counter_ns()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    turn.set()
    nanos = time.perf_counter_ns() - started
    for thread in threads:
        thread.join()
    return done, nanos


def main():
    with app.app_context():
        event.listen(db.engine, "connect", set_up)
        state = db.session.execute(
            text(
                "SELECT journal_mode, synchronous, foreign_keys, timeout FROM pragma_journal_mode, "
                "pragma_synchronous, pragma_foreign_keys, pragma_busy_timeout"
            )
        ).one()
    assert tuple(state) == ("wal", 2, 1, 5000), state
    run_turn(WARM_UP)
    latencies = []
    print("ready", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["turn", "0", micros]:
                done, nanos = run_turn(int(micros) / 1e6)
                for task in done:
                    latencies.extend(task.latencies)
                counts = [sum(getattr(task, name) for task in done) for name in ("operations", "failures", "locked")]
                print(counts[0], nanos, counts[1], counts[2], flush=True)
            case ["latency", "0"]:
                latencies.sort()
                last = len(latencies) - 1
                answer = [str(latencies[last * percent // 100]) for percent in (50, 99, 100) if last >= 0]
                print(" ".join(answer) or "none", flush=True)
            case _:
                sys.exit(f"no request: {line}")


main()
