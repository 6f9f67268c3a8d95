package condition

import (
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

const (
	// bytesPerUnit is how many bytes of a text cost as much as one step.
	bytesPerUnit = 16
	// costPerKey is how many steps a key of a map costs as much as: to go through a map, its keys are collected first.
	costPerKey = 3
	// newList is how many steps it costs in addition to make a list, or to join two: filter and map do both for each
	// element.
	newList = 6
	// comparedElement is how many steps the comparison of an element costs as much as: it is counted first.
	comparedElement = 12
)

// meter limits what one evaluation does. Every step of it costs one unit, a value that is a text more the longer it is,
// and comparisons of lists and maps as much as these have elements.
//
// CEL's own limit of the cost is not used: cel-go v0.29.2 records each step of a loop in a list that it searches at the
// next one, so that the time grows with the square of the cost; and it takes the length of a text, its conversions, and
// comparisons of lists of lists for operations of constant cost.
type meter struct {
	left     uint64
	patterns patterns
}

// spend ends the evaluation if it costs too much. cel-go recovers from this panic.
func (m *meter) spend(cost uint64) {
	if cost > m.left {
		panic(interpreter.EvalCancelledError{Cause: interpreter.CostLimitExceeded, Message: "it costs too much"})
	}
	m.left -= cost
}

// result counts a step and its value.
func (m *meter) result(value ref.Val) ref.Val {
	switch value := value.(type) {
	case types.String:
		m.spend(1 + uint64(len(value))/bytesPerUnit)
	case types.Bytes:
		m.spend(1 + uint64(len(value))/bytesPerUnit)
	case traits.Mapper:
		m.spend(1 + sizeOf(value)*costPerKey)
	default:
		m.spend(1)
	}
	return value
}

// decorate is an [interpreter.InterpretableDecoratorV2] that has the meter count a step of the program.
func (m *meter) decorate(step interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	switch step := step.(type) {
	case interpreter.InterpretableConst:
		return step, nil
	case interpreter.InterpretableAttribute:
		return &meteredAttribute{step, m}, nil
	case interpreter.InterpretableCall:
		if compare := m.comparison(step); compare != nil && len(step.Args()) == 2 {
			return &meteredComparison{step, step.Args()[0], step.Args()[1], compare}, nil
		}
		return &meteredCall{step, m}, nil
	case interpreter.InterpretableConstructor:
		return &meteredConstructor{step, m}, nil
	default:
		return &meteredStep{step, m}, nil
	}
}

// comparison returns the function of a call whose cost depends on both of its arguments, or nil if it is not one.
func (m *meter) comparison(call interpreter.InterpretableCall) func(left, right ref.Val) ref.Val {
	switch call.Function() {
	case operators.Equals:
		return func(left, right ref.Val) ref.Val { return m.equal(left, right) }
	case operators.NotEquals:
		return func(left, right ref.Val) ref.Val { return types.Bool(m.equal(left, right) != types.True) }
	case matchesFunction:
		return func(left, right ref.Val) ref.Val {
			m.spend(m.patterns.cost(left, right))
			return m.patterns.match(left, right)
		}
	default:
		return nil
	}
}

// equal compares two values. A comparison of lists or maps ends with the smaller of them; that of texts was paid for
// when they were read.
func (m *meter) equal(left, right ref.Val) ref.Val {
	cost := uint64(1)
	if _, ok := left.(traits.Sizer); ok && left.Type() == right.Type() && left.Type().HasTrait(traits.IterableType) {
		cost = comparedElement * weight(right, weight(left, m.left/comparedElement+1))
	}
	m.spend(cost)
	return types.Equal(left, right)
}

type meteredStep struct {
	interpreter.InterpretableV2

	meter *meter
}

func (s *meteredStep) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return s.meter.result(s.InterpretableV2.Exec(frame))
}

func (s *meteredStep) Eval(vars interpreter.Activation) ref.Val {
	return s.Exec(interpreter.AsFrame(vars))
}

// meteredConstructor makes a list or a map.
type meteredConstructor struct {
	interpreter.InterpretableConstructor

	meter *meter
}

func (c *meteredConstructor) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	c.meter.spend(newList)
	return c.meter.result(c.InterpretableConstructor.Exec(frame))
}

func (c *meteredConstructor) Eval(vars interpreter.Activation) ref.Val {
	return c.Exec(interpreter.AsFrame(vars))
}

type meteredAttribute struct {
	interpreter.InterpretableAttribute

	meter *meter
}

func (a *meteredAttribute) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return a.meter.result(a.InterpretableAttribute.Exec(frame))
}

func (a *meteredAttribute) Eval(vars interpreter.Activation) ref.Val {
	return a.Exec(interpreter.AsFrame(vars))
}

type meteredCall struct {
	interpreter.InterpretableCall

	meter *meter
}

func (c *meteredCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	// A list costs as much to search as it has elements.
	if c.Function() == operators.In && len(c.Args()) == 2 {
		c.meter.spend(weight(c.Args()[1].Exec(frame), c.meter.left/comparedElement+1) * comparedElement)
	}
	value := c.InterpretableCall.Exec(frame)
	if _, ok := value.(traits.Lister); ok && c.Function() == operators.Add {
		c.meter.spend(newList)
	}
	return c.meter.result(value)
}

func (c *meteredCall) Eval(vars interpreter.Activation) ref.Val {
	return c.Exec(interpreter.AsFrame(vars))
}

// meteredComparison evaluates a call with two arguments itself.
type meteredComparison struct {
	interpreter.InterpretableCall

	left, right interpreter.InterpretableV2
	compare     func(left, right ref.Val) ref.Val
}

func (c *meteredComparison) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	left, right := c.left.Exec(frame), c.right.Exec(frame)
	for _, value := range []ref.Val{left, right} {
		if types.IsUnknownOrError(value) {
			return value
		}
	}
	return c.compare(left, right)
}

func (c *meteredComparison) Eval(vars interpreter.Activation) ref.Val {
	return c.Exec(interpreter.AsFrame(vars))
}
