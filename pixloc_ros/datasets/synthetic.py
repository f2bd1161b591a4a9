"""Sessions of the synthetic street as drives."""

from __future__ import annotations

from pixloc_ros.datasets.drive import Drive, Odometry
from pixloc_ros.synthetic.ahead import RenderAhead
from pixloc_ros.synthetic.drive import Session


def drive_of(session: Session) -> Drive:
    """The session as a drive; images are rendered when asked for, quickest in order."""
    return Drive(
        name=session.name,
        names=tuple(f"{i:06d}" for i in range(len(session))),
        stamps_ns=session.stamps_ns,
        camera=session.camera,
        T_base_cam=session.T_base_cam,
        load=RenderAhead(session),
        T_map_base=session.T_map_base,
        odometry=Odometry(session.odometry_stamps_ns, session.T_odom_base),
    )
