package policy

// PositionError is an error of a document's text at a place in it.
type PositionError struct {
	// Line and Column count from 1, the column in bytes.
	Line, Column int
	Err          error
}

// Error implements error. Whoever knows the file's path writes path:line:column.
func (e *PositionError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong there.
func (e *PositionError) Unwrap() error { return e.Err }
