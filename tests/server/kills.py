"""kill -9 of client, worker and server in turn, at random moments: python tests/server/kills.py [MOMENTS]."""

import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from serving import Backend, Person, gone, kill, until

from blender_addon.shared import messages as m

BUSY = Path(__file__).with_name("busy.py")


class Siege:
    """A backend under attack; who looks on sees that nothing it has taken is lost."""

    def __init__(self, folder):
        self.backend = Backend(folder)
        self.person = Person(self.backend)
        self.done = self.person.generates(1)
        self.person.waits(m.JobState, self.done, state="done")
        self.taken = {self.done}
        self._besiege()

    def kill(self, victim, after):
        """Kill one of the three after so many seconds, put another in its place, and look."""
        time.sleep(after)
        getattr(self, f"_kill_{victim}")()
        self._look()

    def end(self):
        """Stop everything as users do; nothing may be left running."""
        self._kill_client(again=False)
        for job, state in self._listed().items():
            if state.state not in m.ENDED:
                self.person.client.send(m.Cancel(job=job))
        until(lambda: all(state.state in m.ENDED for state in self._listed().values()))
        self.person.client.stop()
        self.backend.end()

    def _besiege(self):
        command = [sys.executable, str(BUSY), str(self.backend.port)]
        self.client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, args=(self.client.stdout,))
        self._reader.start()

    def _read(self, lines):
        for line in lines:
            if line.endswith("\n"):
                self.taken.add(line.strip())

    def _kill_client(self, again=True):
        kill(self.client)
        self.client.wait()
        self._reader.join()
        self.client.stdout.close()
        if again:
            self._besiege()

    def _kill_worker(self):
        kill(self.backend.worker)

    def _kill_server(self):
        worker = self.backend.worker
        kill(self.backend.process)
        self.backend.process.wait()
        self.backend.process.stdout.close()
        until(lambda: gone(worker.pid))
        self.backend = Backend(self.backend.jobs, ("--port", self.backend.port))

    def _listed(self):
        self.person.listen()
        self.person.heard.clear()
        self.person.client.send(m.ListJobs())
        self.person.waits(m.Jobs, last=True)
        pages = [message for message in self.person.heard if isinstance(message, m.Jobs)]
        return {state.job: state for page in pages for state in page.jobs}

    def _look(self):
        taken = set(self.taken)
        listed = self._listed()
        assert taken <= set(listed), "a job that was taken is lost"
        for state in listed.values():
            assert state.state != "failed" or "SIGKILL" in state.text, state.text
        assert listed[self.done].has_mesh
        self.person.asks(m.Fetch(job=self.done))
        self.person.waits(m.Mesh, self.done)


def besiege(folder, moments, longest, say=lambda _: None):
    """Kill each of the three in turn."""
    siege = Siege(folder)
    try:
        for number in range(moments):
            victim, after = ("client", "worker", "server")[number % 3], random.uniform(0, longest)
            siege.kill(victim, after)
            say(f"{number + 1}: the {victim} after {after:.2f} s, {len(siege.taken)} jobs taken")
    finally:
        siege.end()
    return siege


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        besiege(Path(folder), int((sys.argv[1:] or ["50"])[0]), 6.0, lambda text: print(text, flush=True))
    print("nothing lost, nothing left running")
