package conf

import (
	"github.com/pelletier/go-toml/v2/unstable"
)

// position is a place in a file. Lines and columns count from 1.
type position struct{ line, column int }

// keyPositions returns the position of each key in a valid file, including tables. If a key occurs more than once, as
// the name of a table can, it returns the first position.
func keyPositions(raw []byte) map[string]position {
	s := scanner{at: make(map[string]position)}
	s.parser.Reset(raw)
	table := ""
	for s.parser.NextExpression() {
		expression := s.parser.Expression()
		switch expression.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = s.key("", expression)
		case unstable.KeyValue:
			s.value(table, expression)
		default:
		}
	}
	return s.at
}

type scanner struct {
	parser unstable.Parser
	at     map[string]position
}

// key records every part of a dotted key and returns the whole key.
func (s *scanner) key(prefix string, node *unstable.Node) string {
	parts := node.Key()
	for parts.Next() {
		part := parts.Node()
		prefix = join(prefix, string(part.Data))
		if _, seen := s.at[prefix]; !seen {
			start := s.parser.Shape(part.Raw).Start
			s.at[prefix] = position{start.Line, start.Column}
		}
	}
	return prefix
}

// value records a key, and the keys in its value if that is an inline table.
func (s *scanner) value(table string, node *unstable.Node) {
	key := s.key(table, node)
	value := node.Value()
	if value.Kind != unstable.InlineTable {
		return
	}
	children := value.Children()
	for children.Next() {
		if child := children.Node(); child.Kind == unstable.KeyValue {
			s.value(key, child)
		}
	}
}
