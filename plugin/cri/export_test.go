package cri

// Decode is decode, for the fuzz test.
func Decode(message []byte) (Pull, bool) { return decode(message) }
