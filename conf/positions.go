package conf

import (
	"github.com/pelletier/go-toml/v2/unstable"
)

// keyLines returns the line on which each key of a well-formed file stands, tables included. Where a key is written
// more than once, as the name of a table can be, the first line counts.
func keyLines(raw []byte) map[string]int {
	l := lines{at: make(map[string]int)}
	l.parser.Reset(raw)
	table := ""
	for l.parser.NextExpression() {
		expression := l.parser.Expression()
		switch expression.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = l.key("", expression)
		case unstable.KeyValue:
			l.value(table, expression)
		default:
		}
	}
	return l.at
}

type lines struct {
	parser unstable.Parser
	at     map[string]int
}

// key notes every part of a dotted key and returns the whole.
func (l *lines) key(prefix string, node *unstable.Node) string {
	parts := node.Key()
	for parts.Next() {
		part := parts.Node()
		prefix = join(prefix, string(part.Data))
		if _, seen := l.at[prefix]; !seen {
			l.at[prefix] = l.parser.Shape(part.Raw).Start.Line
		}
	}
	return prefix
}

// value notes a key with its value, and the keys in it where that is an inline table.
func (l *lines) value(table string, node *unstable.Node) {
	key := l.key(table, node)
	value := node.Value()
	if value.Kind != unstable.InlineTable {
		return
	}
	children := value.Children()
	for children.Next() {
		if child := children.Node(); child.Kind == unstable.KeyValue {
			l.value(key, child)
		}
	}
}
