package signature_test

import (
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

var (
	_ policy.ParseFunc = signature.NewParser().Parse
	_ policy.JudgeFunc = signature.NewJudge().Judge
)
