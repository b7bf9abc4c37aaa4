<title>{{title}}</title>{{!base}}
