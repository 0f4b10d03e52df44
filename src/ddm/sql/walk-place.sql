-- How far the walk through this directory's versions has come, for which floor.
SELECT w.floor, w.done FROM antipode.name_walk w
