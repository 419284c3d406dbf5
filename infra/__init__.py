"""What Taxiway runs on: the real parts on one machine, images, charts, dashboards and alerts. No service imports it."""
