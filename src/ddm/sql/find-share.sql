SELECT deal FROM antipode.quota WHERE subject = 'account/' || $1
