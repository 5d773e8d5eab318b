"""A session on a Spark cluster: started without output, and stopped without leaving files.

Python controls a Java process, the driver, which plans the work and hands it to the executors of
the master. The driver logs to a file that is deleted with the session: what users have to know is
in the message of an error. Memory, cores and credentials are the cluster's configuration,
`spark-defaults.conf` in `$SPARK_CONF_DIR`; for `local[…]`, where the driver does all the work,
`$SPARK_DRIVER_MEMORY` sets the memory.

However a session ends, even if Python is killed, the driver's standard input is closed. The driver
then stops the work and deletes the files of the session, and the new folder unless that is
finished.

A location is a path, or a URL of the cluster's file systems (`hdfs://`, `s3a://`, …).
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
    import pyarrow  # noqa: F401, which Spark needs to hand tables over
    from py4j.protocol import Py4JError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession
except ImportError as error:
    raise UsageError(f"`engine=spark`: {error.msg}; pip install 'seqlm[scale]'") from None


@contextmanager
def session(master: str, **settings: str) -> Iterator[SparkSession]:
    """A session on `master` ('local[2]', 'spark://host:7077', 'yarn', …), with Spark's `settings`.

    Errors: UsageError if there is no Java or no such master; SeqlmError if the work in the session
    fails.
    """
    check_master(master)
    with tempfile.TemporaryDirectory(prefix="seqlm-spark-") as scratch, disable_logging():
        conf = SparkConf().setMaster(master).setAppName("seqlm count")
        conf.set("spark.sql.warehouse.dir", scratch).set("spark.driver.maxResultSize", "0")
        conf.setAll(list(settings.items()))
        driver = None
        try:
            with postpone_signals():
                driver = start_driver(conf, Path(scratch) / "log")
            yield connect(conf, driver)
        except (PySparkException, Py4JError) as error:
            raise SeqlmError(f"Spark failed: {cause(error)}") from error
        finally:
            if driver is not None:
                stop_driver(driver)


def check_master(master: str) -> None:
    """Asks a standalone master before Spark does, which would go on asking for a minute.

    Errors: UsageError if none of `spark://host:port,host:port` answers.
    """
    hosts = re.findall(r"([^/,]+):(\d+)", master) if master.startswith("spark://") else []
    for host, port in hosts:
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=10):
            return
    if hosts:
        raise UsageError(f"Spark does not start on {master}: nothing answers there")


def start_driver(conf: SparkConf, log: Path) -> Any:
    """The gateway to a new Java process, `.proc`. Errors: UsageError if it does not start."""
    try:
        with log.open("wb") as output:
            return launch_gateway(conf, {"stdout": output, "stderr": output})
    except (PySparkException, OSError) as error:
        log_lines = log.read_text(errors="replace").splitlines() or [str(error)]
        thrown = [line for line in log_lines if line.startswith("Exception in thread")]
        if thrown:
            reason = f"does not start on {conf.get('spark.master')}: {thrown[0].split(': ', 1)[-1]}"
        else:
            reason = f"needs Java 17 or later, in $JAVA_HOME or $PATH: {log_lines[0]}"
        raise UsageError(f"Spark {reason}") from error


def connect(conf: SparkConf, driver: Any) -> SparkSession:
    """Errors: UsageError if the master does not accept the driver."""
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        SparkContext(conf=conf, gateway=driver)
        return SparkSession.builder.getOrCreate()
    except (PySparkException, Py4JError) as error:
        master = conf.get("spark.master")
        raise UsageError(f"Spark does not start on {master}: {cause(error)}") from error
    finally:
        if in_main_thread():
            signal.signal(signal.SIGINT, interrupt)  # Spark's would interrupt calls to the driver


def stop_driver(driver: Any) -> None:
    driver.close()
    driver.proc.stdin.close()
    driver.proc.wait()
    # Clear what pyspark remembers of the session, so that there can be another one.
    if (context := SparkContext._active_spark_context) is not None:
        context._jsc = None
        context.stop()
    SparkContext._gateway = SparkContext._jvm = None


@contextmanager
def postpone_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the driver has started, so that it can be stopped."""
    if not in_main_thread():
        yield
        return
    received: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def in_main_thread() -> bool:
    """Python handles signals in the main thread only."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def disable_logging() -> Iterator[None]:
    """Without it, py4j logs the errors that it raises, too."""
    level = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(level)


def cause(error: Exception) -> str:
    """The first cause in a long message from Java, in one line."""
    lines = str(error).splitlines() or [repr(error)]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    thrown = [line for line in lines if line.startswith(": ")]  # after the preface of py4j
    line = (causes[-1:] or thrown or lines)[0]
    return re.sub(r"^(Caused by)?: ([\w.$]+(Exception|Error): )?", "", line).strip()


# --------------------------------------------------------------------------------------- locations


def url(location: str) -> str:
    """A path as a URL for Hadoop, not quoted; a URL as it is."""
    return location if "://" in location else f"file://{Path(location).absolute()}"


def escaped_url(location: str) -> str:
    """The URL for reading, where `*?[]{}` would otherwise match other names."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", url(location))


@contextmanager
def new_folder(spark: SparkSession, location: str) -> Iterator[str]:
    """The URL of a new folder, which is kept only if no error is raised.

    Errors: UsageError if the location exists.
    """
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(url(location))
    files = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    if files.exists(path):
        raise UsageError(f"`write_counts` {location} exists already: name a new folder")
    files.mkdirs(path)
    files.deleteOnExit(path)
    yield url(location)
    files.cancelDeleteOnExit(path)
