package supervisor

// NextPause and OpenLog are for tests.
var (
	NextPause = nextPause
	OpenLog   = (*Node).openLog
)
