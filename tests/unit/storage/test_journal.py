import multiprocessing
import time

from lorascope.storage.journal import Journal
from tests.support.basics import flipped

DIGEST = "0123456789ab"
RECORDS = [{"item_id": f"animal-single/{n}", "response": "der Hund\n狗"} for n in range(3)]


def test_answers_of_every_writer_come_back(tmp_path):
    Journal(tmp_path, DIGEST, "0-of-2").append(RECORDS[:2])
    Journal(tmp_path, DIGEST, "1-of-4").append(RECORDS[2:])
    assert list(Journal(tmp_path, DIGEST, "0-of-1").read().values()) == RECORDS


def test_a_torn_line_counts_as_not_answered(tmp_path):
    journal = Journal(tmp_path, DIGEST, "0-of-1")
    journal.append(RECORDS)
    journal.file.write_bytes(journal.file.read_bytes()[:-9])
    assert list(journal.read()) == ["animal-single/0", "animal-single/1"]


def test_a_changed_line_counts_as_not_answered(tmp_path):
    journal = Journal(tmp_path, DIGEST, "0-of-1")
    journal.append(RECORDS)
    journal.file.write_bytes(journal.file.read_bytes().replace(b"single/1", b"single/7"))
    assert list(journal.read()) == ["animal-single/0", "animal-single/2"]


def test_answers_under_other_settings_are_nobodys_here(tmp_path, caplog):
    Journal(tmp_path, "f" * 12, "0-of-1").append(RECORDS)
    assert Journal(tmp_path, DIGEST, "0-of-1").read() == {}
    assert "3 other settings' lines are ignored; their items are answered again" in caplog.text
    Journal(tmp_path, DIGEST, "0-of-1").append(RECORDS[1:])
    assert list(Journal(tmp_path, DIGEST, "0-of-1").read().values()) == RECORDS[1:]


def test_no_flipped_bit_goes_unnoticed(tmp_path):
    journal = Journal(tmp_path, DIGEST, "0-of-1")
    journal.append(RECORDS[:1])
    for place in flipped(journal.file):
        assert list(journal.read().values()) in ([], RECORDS[:1]), place


def _orphan(folder, ready):
    journal = Journal(folder, DIGEST, "0-of-1")
    with journal.held():
        ready.set()
        time.sleep(0.5)
        journal.append(RECORDS)


def test_a_successor_waits_for_a_live_orphan_and_reuses_its_answers(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    orphan = context.Process(target=_orphan, args=(tmp_path, ready))
    orphan.start()
    assert ready.wait(30)
    journal = Journal(tmp_path, DIGEST, "0-of-1")
    with journal.held():
        assert len(journal.read()) == 3
    orphan.join()
