"""A session on a Spark cluster: started, kept quiet, and ended with nothing left behind.

Python steers a Java process, the driver, which plans the work and hands it to the executors of the
master. What the driver logs goes to a file that is deleted with the session: what people have to
know is in the message of an error. Memory, cores and credentials are the cluster's configuration,
`spark-defaults.conf` in `$SPARK_CONF_DIR`; for `local[…]`, where the driver does all the work,
`$SPARK_DRIVER_MEMORY` is the memory.

However a session ends, the driver's standard input is closed. It takes that as the end: it stops
the work, deletes what belongs to the session, and the new folder unless that is finished. So it
does when Python is killed.

Places are paths, or URLs of the cluster's file systems (`hdfs://`, `s3a://`, …).
"""

from __future__ import annotations

import logging
import re
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from seqlm.errors import SeqlmError, UsageError

try:
    import pyarrow  # noqa: F401, without which Spark hands no tables over
    from py4j.protocol import Py4JError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession
except ImportError as error:
    raise UsageError(f"--engine spark: {error.msg}; pip install 'seqlm[scale]'") from None


@contextmanager
def session(master: str, **settings: str) -> Iterator[SparkSession]:
    """A session on `master` ('local[2]', 'spark://host:7077', 'yarn', …), with Spark's `settings`.

    Errors: UsageError where there is no Java or no such master; SeqlmError where the work in the
    session fails.
    """
    reach(master)
    with tempfile.TemporaryDirectory(prefix="seqlm-spark-") as scratch, no_logging():
        conf = SparkConf().setMaster(master).setAppName("seqlm count")
        conf.set("spark.sql.warehouse.dir", scratch).set("spark.driver.maxResultSize", "0")
        conf.setAll(list(settings.items()))
        driver = None
        try:
            with postponed_signals():
                driver = start_driver(conf, Path(scratch) / "log")
            yield connect(conf, driver)
        except (PySparkException, Py4JError) as error:
            raise SeqlmError(f"Spark failed: {cause(error)}") from error
        finally:
            if driver is not None:
                end(driver)


def reach(master: str) -> None:
    """Asks for a standalone master before Spark does, which would go on asking for a minute.

    Errors: UsageError where none of `spark://host:port,host:port` answers.
    """
    hosts = re.findall(r"([^/,]+):(\d+)", master) if master.startswith("spark://") else []
    for host, port in hosts:
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=10):
            return
    if hosts:
        raise UsageError(f"Spark does not start on {master}: nothing answers there")


def start_driver(conf: SparkConf, log: Path) -> Any:
    """The Java process, `.proc`, and the way to it. Errors: UsageError where it does not start."""
    try:
        with log.open("wb") as output:
            return launch_gateway(conf, {"stdout": output, "stderr": output})
    except (PySparkException, OSError) as error:
        said = log.read_text(errors="replace").splitlines() or [str(error)]
        thrown = [line for line in said if line.startswith("Exception in thread")]
        if thrown:
            reason = f"does not start on {conf.get('spark.master')}: {thrown[0].split(': ', 1)[-1]}"
        else:
            reason = f"needs Java 17 or later, in $JAVA_HOME or $PATH: {said[0]}"
        raise UsageError(f"Spark {reason}") from error


def connect(conf: SparkConf, driver: Any) -> SparkSession:
    """Errors: UsageError where the master does not take the driver."""
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        SparkContext(conf=conf, gateway=driver)
        return SparkSession.builder.getOrCreate()
    except (PySparkException, Py4JError) as error:
        master = conf.get("spark.master")
        raise UsageError(f"Spark does not start on {master}: {cause(error)}") from error
    finally:
        if in_main_thread():
            signal.signal(signal.SIGINT, interrupt)  # Spark's own talks to a driver in mid-sentence


def end(driver: Any) -> None:
    driver.close()
    driver.proc.stdin.close()
    driver.proc.wait()
    # What Python remembers of the session, so that there can be another one.
    if (context := SparkContext._active_spark_context) is not None:
        context._jsc = None
        context.stop()
    SparkContext._gateway = SparkContext._jvm = None


@contextmanager
def postponed_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait, so that no process is lost between its start and our knowing it."""
    if not in_main_thread():
        yield
        return
    noted: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: noted.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if noted:
            signal.raise_signal(noted[0])


def in_main_thread() -> bool:
    """Where alone Python lets signals be handled."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def no_logging() -> Iterator[None]:
    """py4j logs what it raises."""
    level = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(level)


def cause(error: Exception) -> str:
    """The first cause of what Java says at length, in one line."""
    lines = str(error).splitlines() or [repr(error)]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    thrown = [line for line in lines if line.startswith(": ")]  # by py4j behind its own preface
    line = (causes[-1:] or thrown or lines)[0]
    return re.sub(r"^(Caused by)?: ([\w.$]+(Exception|Error): )?", "", line).strip()


# ------------------------------------------------------------------------------------------ places


def url(place: str) -> str:
    """A path as Hadoop takes it, not quoted; a URL as it is."""
    return place if "://" in place else f"file://{Path(place).absolute()}"


def literal(place: str) -> str:
    """The same for reading, where `*?[]{}` would stand for other names."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", url(place))


@contextmanager
def new_folder(spark: SparkSession, place: str) -> Iterator[str]:
    """The URL of a folder that stays only if all goes well.

    Errors: UsageError where there is something already.
    """
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(url(place))
    files = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    if files.exists(path):
        raise UsageError(f"--write-counts {place} is there already: name a new folder")
    files.mkdirs(path)
    files.deleteOnExit(path)
    yield url(place)
    files.cancelDeleteOnExit(path)
