import{N as t,Q as e}from"/assets/chunk-AW3FW2OW.js";var n=()=>t("twin")==="yes",i=()=>e({twin:n()?void 0:"yes"});export{n as a,i as b};
