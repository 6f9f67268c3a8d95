package condition

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// Sizes by which the cost of an expression is estimated when it is compiled: ordinary predicates have lists of this
// length and texts of this size. Three nested loops over such lists are within maxEstimate, four are not.
const (
	usualList   = 64
	usualText   = 256
	maxEstimate = 20_000_000
)

// checkEstimate returns an error if an expression would cost too much with ordinary predicates.
func checkEstimate(environment *cel.Env, parsed *cel.Ast) error {
	estimate, err := environment.EstimateCost(parsed, estimator{})
	if err != nil {
		return problem("estimating its cost: %v", err)
	}
	if estimate.Max > maxEstimate {
		return problem("it is too costly: with lists of %d elements, evaluating it takes %d units, and the maximum is %d; "+
			"nest fewer loops", usualList, estimate.Max, maxEstimate)
	}
	return nil
}

// estimator is a [checker.CostEstimator] that assumes usual sizes.
type estimator struct{}

// EstimateSize implements [checker.CostEstimator].
func (estimator) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	size := uint64(usualList)
	if kind := element.Type(); kind != nil && (kind.Kind() == types.StringKind || kind.Kind() == types.BytesKind) {
		size = usualText
	}
	return &checker.SizeEstimate{Min: 0, Max: size}
}

// EstimateCallCost implements [checker.CostEstimator].
func (estimator) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// weight returns the number of elements in a value, counting bytesPerUnit bytes of a text as one. It stops at most.
func weight(value ref.Val, most uint64) uint64 {
	switch value := value.(type) {
	case types.String:
		return min(1+uint64(len(value))/bytesPerUnit, most)
	case types.Bytes:
		return min(1+uint64(len(value))/bytesPerUnit, most)
	case traits.Mapper:
		total := 1 + sizeOf(value)
		if total >= most {
			return most
		}
		for keys := value.Iterator(); keys.HasNext() == types.True && total < most; {
			total += weight(value.Get(keys.Next()), most-total)
		}
		return min(total, most)
	case traits.Lister:
		total := 1 + sizeOf(value)
		if total >= most {
			return most
		}
		for elements := value.Iterator(); elements.HasNext() == types.True && total < most; {
			total += weight(elements.Next(), most-total)
		}
		return min(total, most)
	default:
		return min(1, most)
	}
}

// sizeOf returns the number of keys or of elements of a value.
func sizeOf(value traits.Sizer) uint64 {
	size, _ := value.Size().(types.Int)
	return uint64(max(size, 0))
}
