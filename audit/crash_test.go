package audit_test

const childEnv = "AUDIT_TEST_CHILD"

func child(string) int { return 0 }
