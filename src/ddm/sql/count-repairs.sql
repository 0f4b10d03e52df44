SELECT member, queued FROM antipode.count_repairs()
