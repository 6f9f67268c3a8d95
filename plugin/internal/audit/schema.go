package audit

import (
	"log/slog"

	"github.com/countersign/countersign/policy"
)

// SchemaVersion is the version of a record's keys. It changes if a key is removed or changes its meaning.
const SchemaVersion = 1

// The messages of the two kinds of records.
const (
	DecisionMessage = "decision"
	PullMessage     = "pull"
)

// Kind describes one kind of record.
type Kind struct {
	// Message is the value of the key "msg".
	Message string
	Keys    []Key
}

// Key describes one key of a record.
type Key struct {
	Name string
	// Type is a type of JSON: string, number or boolean.
	Type    string
	Meaning string
}

// Schema describes all kinds of records, with the keys in their order.
func Schema() []Kind {
	return []Kind{
		{DecisionMessage, keysOf(decisionFields())},
		{PullMessage, keysOf(pullFields())},
	}
}

// field is a key of records of type R, and its value.
type field[R any] struct {
	name    string
	value   func(R) slog.Value
	meaning string
}

// keysOf returns the common keys, which slog writes, and then those of the fields.
func keysOf[R any](fields []field[R]) []Key {
	keys := []Key{
		{"time", "string", "when the request arrived (RFC 3339)"},
		{"level", "string", "`WARN` if `outcome` is `deny` or `would_deny` is true, otherwise `INFO`"},
		{"msg", "string", "the kind of record"},
	}
	var zero R
	for _, field := range fields {
		kind := "number"
		switch field.value(zero).Kind() {
		case slog.KindString:
			kind = "string"
		case slog.KindBool:
			kind = "boolean"
		default:
		}
		keys = append(keys, Key{field.name, kind, field.meaning})
	}
	return keys
}

// attributes returns the attributes of a record.
func attributes[R any](fields []field[R], record R) []slog.Attr {
	attributes := make([]slog.Attr, 0, len(fields))
	for _, field := range fields {
		attributes = append(attributes, slog.Attr{Key: field.name, Value: field.value(record)})
	}
	return attributes
}

// stringOf returns a function that returns a string of a record.
func stringOf[R any, S ~string](of func(R) S) func(R) slog.Value {
	return func(record R) slog.Value { return slog.StringValue(string(of(record))) }
}

func decisionFields() []field[Record] {
	return []field[Record]{
		{"outcome", stringOf(func(r Record) string { return r.Outcome().String() }), "what happened: `admit` or `deny`"},
		{"reason", stringOf(func(r Record) policy.Reason { return r.Verdict.Reason }), "the reason of the verdict"},
		{
			"stage", stringOf(func(r Record) Stage { return r.Stage }),
			"`creation`, `start`, or `running` for a container that already ran, which the verdict does not stop",
		},
		{
			"mode", stringOf(func(r Record) Mode { return r.Mode }),
			"`audit` if the namespace, or the policy that denies, is in audit mode, and else `enforce`",
		},
		{
			"would_deny", func(r Record) slog.Value { return slog.BoolValue(r.WouldDeny()) },
			"the policy denies, and the container exists nevertheless: in audit mode, or because it already ran",
		},
		{
			"drift", func(r Record) slog.Value { return slog.BoolValue(r.Drift()) },
			"the container runs, and the policy refuses it where it is enforced",
		},
		{"namespace", stringOf(func(r Record) string { return r.Question.Namespace }), "the namespace of the pod"},
		{"pod", stringOf(func(r Record) string { return r.Pod }), "the name of the pod"},
		{"pod_uid", stringOf(func(r Record) string { return r.PodUID }), "the UID of the pod"},
		{"container", stringOf(func(r Record) string { return r.Container }), "the name of the container"},
		{"container_id", stringOf(func(r Record) string { return r.ContainerID }), "the ID of the container"},
		{
			"volume", stringOf(func(r Record) string { return r.Volume }),
			"the mount path of the image volume that was evaluated; empty for the image of the container",
		},
		{"reference", stringOf(func(r Record) string { return r.Question.Reference }), "the image as the pod names it"},
		{
			"judged_reference", stringOf(func(r Record) string { return r.Verdict.Reference }),
			"the normalised reference that was evaluated",
		},
		{
			"digest", stringOf(func(r Record) string { return r.Verdict.Digest.String() }),
			"the manifest or index that was evaluated",
		},
		{"config_digest", stringOf(func(r Record) string { return r.Question.Config.String() }), "the config of the image"},
		{
			"found_by", stringOf(func(r Record) policy.FoundBy { return r.FoundBy }),
			"how the image was identified: `config digest` or `layers`",
		},
		{"document", stringOf(func(r Record) string { return r.Verdict.Document }), "the policy document that applied"},
		{
			"scope", stringOf(func(r Record) string { return r.Verdict.Scope }),
			"the scope that applied; empty for the default",
		},
		{
			"detail", stringOf(func(r Record) string { return r.Verdict.Detail }),
			"the cause, with everything that was tried",
		},
		{
			"took_seconds", func(r Record) slog.Value { return slog.Float64Value(r.Took.Seconds()) },
			"how long the answer took",
		},
		{"remembered", func(r Record) slog.Value { return slog.BoolValue(r.Verdict.Cached) }, "the verdict was cached"},
		{"schema", func(Record) slog.Value { return slog.IntValue(SchemaVersion) }, "the version of these keys"},
	}
}

func pullFields() []field[Pull] {
	return []field[Pull]{
		{"outcome", stringOf(func(p Pull) string { return p.Outcome.String() }), "what happened: `admit` or `deny`"},
		{"reason", stringOf(func(p Pull) policy.Reason { return p.Verdict.Reason }), "the reason of the verdict"},
		{
			"mode", stringOf(func(p Pull) Mode { return p.Mode }),
			"`audit` if the namespace is in audit mode, or, without a namespace, if any is, or if only requirements deny " +
				"that are audited: then no pull is refused",
		},
		{
			"would_deny", func(p Pull) slog.Value { return slog.BoolValue(p.WouldDeny()) },
			"the pull was admitted, and would be refused if everything were enforced",
		},
		{
			"namespace", stringOf(func(p Pull) string { return p.Namespace }),
			"the namespace of the pod; empty if the client does not know the pod: then the image is evaluated " +
				"for all namespaces of the node",
		},
		{"pod", stringOf(func(p Pull) string { return p.Pod }), "the name of the pod, or empty"},
		{"reference", stringOf(func(p Pull) string { return p.Name }), "the image as the client names it"},
		{
			"judged_reference", stringOf(func(p Pull) string { return p.Verdict.Reference }),
			"the normalised reference that was evaluated",
		},
		{
			"digest", stringOf(func(p Pull) string { return p.Digest }),
			"the digest that is pulled; empty if the client did not resolve the reference",
		},
		{
			"judged_digest", stringOf(func(p Pull) string { return p.Verdict.Digest.String() }),
			"the manifest or index that was evaluated",
		},
		{
			"document", stringOf(func(p Pull) string { return p.Verdict.Document }),
			"the policy document that applied; without a namespace, the one that is closest to admitting the image",
		},
		{
			"scope", stringOf(func(p Pull) string { return p.Verdict.Scope }),
			"the scope that applied; empty for the default",
		},
		{
			"detail", stringOf(func(p Pull) string { return p.Verdict.Detail }),
			"the cause, with everything that was tried",
		},
		{
			"took_seconds", func(p Pull) slog.Value { return slog.Float64Value(p.Took.Seconds()) },
			"how long the answer took",
		},
		{"schema", func(Pull) slog.Value { return slog.IntValue(SchemaVersion) }, "the version of these keys"},
	}
}
