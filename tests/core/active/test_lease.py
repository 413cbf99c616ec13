from concurrent.futures import ThreadPoolExecutor

from skiagraph.active.lease import Lease, Leases

PICTURES = [f"p{n}" for n in range(30)]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_no_two_readers_are_given_the_same_picture(tmp_path):
    leases = Leases(tmp_path / "leases.json")
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda n: leases.take(PICTURES, f"reader{n % 5}"), range(30)))
    assert sorted(lease.picture for lease in given) == sorted(PICTURES)
    assert leases.take(PICTURES, "late") is None


def test_a_lease_runs_out_and_is_given_back(tmp_path):
    clock = Clock()
    leases = Leases(tmp_path / "leases.json", minutes=10, clock=clock)
    assert leases.take(["a"], "anna").until == 1600.0
    assert leases.take(["a"], "ben") is None
    clock.now += 601
    assert leases.take(["a"], "ben").reader == "ben"
    assert not leases.give_back("a", "anna")
    assert leases.give_back("a", "ben")
    assert leases.held() == ()


def test_leases_outlive_the_server_and_a_broken_file_of_them_is_none(tmp_path):
    path = tmp_path / "leases.json"
    Leases(path).take(["a", "b"], "anna")
    assert Leases(path).take(["a", "b"], "ben").picture == "b"
    path.write_text("{", encoding="utf-8")
    assert Leases(path).take(["a"], "ben").picture == "a"


def test_a_lease_is_renewed_by_its_reader_and_taken_when_nobody_holds_it(tmp_path):
    now = [0.0]
    leases = Leases(tmp_path / "leases.json", minutes=1.0, clock=lambda: now[0])
    assert leases.renew("a", "anna") == Lease("a", "anna", 60.0)
    now[0] = 30.0
    assert leases.renew("a", "ben") is None
    assert leases.renew("a", "anna") == Lease("a", "anna", 90.0)
    now[0] = 100.0
    assert leases.renew("a", "ben") == Lease("a", "ben", 160.0)
