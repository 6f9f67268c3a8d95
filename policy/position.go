package policy

// PositionError is an error at a position in the text of a document.
type PositionError struct {
	// Line and Column count from 1, the column in bytes.
	Line, Column int
	Err          error
}

// Error implements error. A caller that knows the path of the file writes path:line:column.
func (e *PositionError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *PositionError) Unwrap() error { return e.Err }
