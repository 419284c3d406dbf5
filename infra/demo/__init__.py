"""The main job on real data: deploys, rolls out, rolls back, meters, refuses, replays; and checks each."""
