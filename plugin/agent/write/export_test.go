package write

// OpenWatched is [Open] with a function that is called before each change on disk.
func OpenWatched(target Target, before func(operation string)) (*Writer, error) {
	return open(target, disk{before: before})
}
