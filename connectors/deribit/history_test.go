package deribit_test

import (
	"testing"

	"github.com/marketprism/marketprism/connectors/connectorstest"
)

func TestPast(t *testing.T) { connectorstest.Past(t, subject) }
